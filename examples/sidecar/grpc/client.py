"""Calls a gRPC API through the sidecar. A gRPC client takes an address and no path, so the provider has
an address of its own: `listen` in [serve.providers.orders-grpc]. Needs grpcio."""

import os

import grpc

address = os.environ.get("ORDERS_GRPC", "127.0.0.1:7420")

with grpc.insecure_channel(address) as channel:
    # A generated stub makes the same call; without one, messages are bytes.
    list_orders = channel.unary_stream("/shop.Orders/List")
    for order in list_orders(b"", timeout=30):
        print("order", order.decode())
