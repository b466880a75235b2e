"""A watcher sees what others change: watch.py ADDRESS_OF_WATCHER ADDRESS_OF_OTHERS"""

import sys

from helper import PREPAID, Client, equal, money
from tollgate.v1 import charging_pb2

here, there = (Client(address) for address in sys.argv[1:])
account = there.open(PREPAID, "0", "100", low_credit_threshold=money("20"))
watch = here.charging.WatchUsableCredit(charging_pb2.WatchUsableCreditRequest(account_id=account), timeout=30)
equal((lambda message: (message.credit.usable, message.is_low))(next(watch)), ("100.00", False))
there.debit(account, "80.01", "d1")
message = next(watch)
equal((message.credit.usable, message.is_low, message.crossing),
      ("19.99", True, charging_pb2.THRESHOLD_CROSSING_FELL_BELOW))
there.charging.Refund(charging_pb2.RefundRequest(account_id=account, request_id="u1", charge_id="d1"))
message = next(watch)
equal((message.credit.usable, message.is_low, message.crossing),
      ("100.00", False, charging_pb2.THRESHOLD_CROSSING_ROSE_ABOVE))
watch.cancel()
