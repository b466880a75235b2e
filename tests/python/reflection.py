"""A client that knows nothing but the address: reflection.py ADDRESS"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

assert not any(name.startswith("tollgate") for name in sys.modules)
channel = grpc.insecure_channel(sys.argv[1])

# The two versions of the protocol have the same messages.
for version in ["v1", "v1alpha"]:
    info = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    answer = next(info(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
    names = {service.name for service in answer.list_services_response.service}
    wanted = {"tollgate.v1.ChargingService", "tollgate.v1.AccountService", "grpc.health.v1.Health"}
    assert wanted <= names, (version, names)

pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def call(service, method, **fields):
    method = pool.FindServiceByName(service).FindMethodByName(method)
    ask = channel.unary_unary(
        f"/{service}/{method.name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString)
    return ask(GetMessageClass(method.input_type)(**fields), timeout=30)


call("tollgate.v1.AccountService", "CreateAccount",
     account_id="reflected", request_id="1", name="Reflected", currency_code="EUR", mode=1)
call("tollgate.v1.AccountService", "TopUp", account_id="reflected", request_id="2", amount={"amount": "20"})
answer = call("tollgate.v1.ChargingService", "Debit",
              account_id="reflected", request_id="3", amount={"amount": "12.3456"})
assert answer.WhichOneof("outcome") == "charged"
assert (answer.charged.amount.amount, answer.credit.usable) == ("12.3456", "7.6544"), answer
