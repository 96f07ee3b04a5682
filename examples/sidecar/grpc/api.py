"""The vendor's gRPC API, for trying client.py: it wants a token of the sandbox's shop. Needs grpcio."""

import sys
import time
from concurrent import futures

import grpc


def list_orders(_, context):
    token = dict(context.invocation_metadata()).get("authorization", "")
    if not token.startswith("Bearer sk-"):
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing")
    yield from (b"1001", b"1002")


server = grpc.server(futures.ThreadPoolExecutor())
methods = {"List": grpc.unary_stream_rpc_method_handler(list_orders)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", methods),))
if server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}") == 0:
    sys.exit("the port is taken")
server.start()
print("the API listens", flush=True)
while True:
    time.sleep(3600)
