"""Serves the file of a folder that a path names by HTTPS, and notes each request in the file `asked`: key_server.py FOLDER CERTIFICATE KEY"""

import http.server
import pathlib
import ssl
import sys

folder, certificate, key = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(pathlib.Path(folder, "asked"), "a") as asked:
            asked.write(self.path + "\n")
        file = pathlib.Path(folder, self.path.lstrip("/"))
        content = file.read_bytes() if file.is_file() else b"gone"
        self.send_response(200 if file.is_file() else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
