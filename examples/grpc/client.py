"""Finds a gap between primes as a long-running operation: python client.py 127.0.0.1:50051 300"""

import sys
import time

import grpc
from google.api_core import operation
from google.api_core.operations_v1 import OperationsClient
from google.longrunning import operations_pb2
from primes.v1 import primes_pb2
from tower_respond_async.v1 import operation_metadata_pb2

channel = grpc.insecure_channel(sys.argv[1])
# To those who prefer that, the method's reply is an operation.
find_gap = channel.unary_unary(
    "/primes.v1.Primes/FindGap",
    request_serializer=primes_pb2.FindGapRequest.SerializeToString,
    response_deserializer=operations_pb2.Operation.FromString,
)
request = primes_pb2.FindGapRequest(length=int(sys.argv[2]), to=100_000_000)
begun = find_gap(request, metadata=[("prefer", "respond-async")])

search = operation.from_gapic(
    begun, OperationsClient(channel), primes_pb2.Gap, metadata_type=operation_metadata_pb2.OperationMetadata
)
try:
    while not search.done():
        print(f"{search.metadata.progress.fraction:4.0%} {search.metadata.progress.message}")
        time.sleep(1)
except KeyboardInterrupt:
    search.cancel()
gap = search.result()
print(f"{gap.start} and {gap.end}")
