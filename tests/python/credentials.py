"""Calls with a token and with a client certificate, in the words of proto/README.md.

Arguments: the address, a file with the authority, and a token, or a certificate and its key.
"""

import sys

import grpc
from tollgate.v1 import charging_pb2, charging_pb2_grpc

address, authority, *shown = sys.argv[1:]


def read(path):
    with open(path, "rb") as file:
        return file.read()


metadata, identity = [], {}
if len(shown) == 1:
    key = shown[0]
    metadata = [("authorization", f"Bearer {key}")]
else:
    certificate, key = shown
    identity = {"private_key": read(key), "certificate_chain": read(certificate)}
credentials = grpc.ssl_channel_credentials(read(authority), **identity)
with grpc.secure_channel(address, credentials) as channel:
    stub = charging_pb2_grpc.ChargingServiceStub(channel)
    request = charging_pb2.GetUsableCreditRequest(account_id="acme")
    try:
        print(stub.GetUsableCredit(request, metadata=metadata, timeout=20).credit.usable)
    except grpc.RpcError as error:
        print(error.code().value[0])
