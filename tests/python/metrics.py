"""Calls and decisions are counted: metrics.py ADDRESS METRICS_ADDRESS"""

import re
import sys
import urllib.request

import grpc
from helper import PREPAID, Client, equal, refused

address, metrics = sys.argv[1:]


def count(series):
    request = urllib.request.Request(f"http://{metrics}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        text = response.read().decode()
    assert text.endswith("# EOF\n")
    found = re.search(f"^{re.escape(series)} ([0-9]+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def calls(code):
    return count(f'rpc_server_call_duration_seconds_count{{rpc_method="tollgate.v1.ChargingService/Debit",rpc_response_status_code="{code}"}}')


def decisions(outcome):
    return count(f'tollgate_decisions_total{{command="debit",outcome="{outcome}"}}')


client = Client(address)
account = client.open(PREPAID, "0", "10")
client.debit(account, "4", "d1")
client.debit(account, "4", "d1")
client.debit(account, "400")
refused(lambda: client.debit("nobody", "1"), grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
equal((calls("OK"), calls("NOT_FOUND")), (3, 1))
outcomes = ["done", "replayed", "declined", "refused:ACCOUNT_NOT_FOUND"]
equal([decisions(outcome) for outcome in outcomes], [1, 1, 1, 1])
equal(count("tollgate_store_up"), 1)
assert count("tollgate_batch_duration_seconds_count") >= 4
with urllib.request.urlopen(f"http://{metrics}/healthz") as response:
    equal((response.status, response.read()), (200, b"serving\n"))
