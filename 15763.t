client cpu 0.21+0.05 s
