"""What health says, and what a call gets meanwhile: health.py ADDRESS SERVING|NOT_SERVING"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from helper import Client, debit, equal, refused, until

address, wanted = sys.argv[1:]
client = Client(address)
health = health_pb2_grpc.HealthStub(client.channel)
for name in ["", "tollgate.v1.ChargingService", "tollgate.v1.AccountService"]:
    request = health_pb2.HealthCheckRequest(service=name)
    until(wanted, lambda: health.Check(request, timeout=5).status == health_pb2.HealthCheckResponse.ServingStatus.Value(wanted))

if wanted == "SERVING":
    refused(lambda: client.debit("nobody", "1"), grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
else:
    # Never an approval, within the caller's deadline, with a hint when to try again.
    found = refused(lambda: client.charging.Debit(debit("nobody", "1"), timeout=5), grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
try:
    health.Check(health_pb2.HealthCheckRequest(service="nothing"))
except grpc.RpcError as error:
    equal(error.code(), grpc.StatusCode.NOT_FOUND)
