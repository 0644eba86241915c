"""What Google's client libraries see of the example's server: python client.py 127.0.0.1:50051"""

import json
import sys
import threading
import unittest
import urllib.request

import grpc
from google.api_core import exceptions, operation
from google.api_core.operations_v1 import OperationsClient
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from primes.v1 import primes_pb2
from tower_respond_async.v1 import operation_metadata_pb2

SERVER = sys.argv.pop(1)
Metadata = operation_metadata_pb2.OperationMetadata


class Signed(grpc.UnaryUnaryClientInterceptor):
    """Says whose calls these are."""

    def __init__(self, user):
        self.user = user

    def intercept_unary_unary(self, continuation, details, request):
        metadata = [*(details.metadata or []), ("x-user", self.user)]
        return continuation(details._replace(metadata=metadata), request)


class User:
    """Somebody who searches, each test as another."""

    def __init__(self, name, **options):
        self.channel = grpc.intercept_channel(grpc.insecure_channel(SERVER, **options), Signed(name))
        self.operations = OperationsClient(self.channel)
        self.stub = operations_pb2_grpc.OperationsStub(self.channel)

    def call(self, reply, metadata, timeout, **request):
        find_gap = self.channel.unary_unary(
            "/primes.v1.Primes/FindGap",
            request_serializer=primes_pb2.FindGapRequest.SerializeToString,
            response_deserializer=reply.FromString,
        )
        return find_gap(primes_pb2.FindGapRequest(**request), metadata=metadata, timeout=timeout)

    def begin(self, **request):
        return self.call(operations_pb2.Operation, [("prefer", "respond-async")], 60, **request)

    def begin_endless(self):
        """There is no such gap, and it takes long to see that."""
        return self.begin(length=1000)

    def future(self, begun):
        return operation.from_gapic(begun, self.operations, primes_pb2.Gap, metadata_type=Metadata)

    def wait(self, name, seconds):
        request = operations_pb2.WaitOperationRequest(name=name)
        request.timeout.FromSeconds(seconds)
        return self.stub.WaitOperation(request, timeout=120)


def metadata_of(found):
    metadata = Metadata()
    assert found.metadata.Unpack(metadata)
    return metadata


def detail(status, kind):
    """The one detail of this kind."""
    [found] = [packed for packed in status.details if packed.Is(kind.DESCRIPTOR)]
    message = kind()
    found.Unpack(message)
    return message


class Submitting(unittest.TestCase):
    def setUp(self):
        self.user = User(self.id())

    def test_an_operation_is_polled_until_it_has_the_methods_reply(self):
        begun = self.user.begin(length=114)
        self.assertRegex(begun.name, "^operations/[0-9a-f-]{36}$")
        self.assertFalse(begun.done)
        self.assertEqual(metadata_of(begun).route, "/primes.v1.Primes/FindGap")
        future = self.user.future(begun)
        self.assertEqual(future.result(timeout=120), primes_pb2.Gap(start=492113, end=492227))
        self.assertEqual(future.metadata.state, Metadata.SUCCEEDED)
        kept = self.user.operations.get_operation(begun.name)
        self.assertEqual(kept.response.type_url, "type.googleapis.com/primes.v1.Gap")

    def test_a_compressed_operation_is_the_same(self):
        user = User(self.id(), compression=grpc.Compression.Gzip)
        found = user.future(user.begin(length=114)).result(timeout=120)
        self.assertEqual(found, primes_pb2.Gap(start=492113, end=492227))

    def test_an_error_has_the_handlers_details(self):
        future = self.user.future(self.user.begin(length=100, to=100_000))
        error = future.exception(timeout=120)
        self.assertIsInstance(error, exceptions.NotFound)
        [status] = error.errors
        self.assertEqual(status.message, "there is no gap of 100: the longest is 72")
        info = detail(status, error_details_pb2.ErrorInfo)
        self.assertEqual((info.reason, info.domain), ("NO_SUCH_GAP", "primes.v1"))
        self.assertEqual(dict(info.metadata), {"longest": "72"})

    def test_a_call_that_fails_at_once_begins_nothing(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.user.begin(length=1, to=2**63)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(list(self.user.operations.list_operations("operations", "")), [])

    def test_a_call_over_its_budget_names_the_operation(self):
        self.assert_names_the_operation(timeout=60)

    def test_a_call_is_told_of_its_operation_before_its_deadline(self):
        """The server's budget is longer than this."""
        self.assert_names_the_operation(timeout=0.7)

    def assert_names_the_operation(self, timeout):
        with self.assertRaises(grpc.RpcError) as raised:
            self.user.call(primes_pb2.Gap, None, timeout, length=1000)
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        metadata = dict([*(error.initial_metadata() or []), *(error.trailing_metadata() or [])])
        status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
        resource = detail(status, error_details_pb2.ResourceInfo)
        self.assertEqual(resource.resource_type, "google.longrunning.Operation")
        self.assertEqual(metadata["location"], resource.resource_name)
        self.assertGreater(detail(status, error_details_pb2.RetryInfo).retry_delay.seconds, 0)
        going_on = self.user.operations.get_operation(resource.resource_name)
        self.assertFalse(going_on.done)
        self.user.operations.cancel_operation(going_on.name)

    def test_a_call_within_its_budget_has_the_methods_own_reply(self):
        found = self.user.call(primes_pb2.Gap, [("prefer", "wait=60")], 60, length=20, to=1000)
        self.assertEqual(found, primes_pb2.Gap(start=887, end=907))

    def test_streams_pass(self):
        primes = self.user.channel.unary_stream(
            "/primes.v1.Primes/List",
            request_serializer=primes_pb2.ListRequest.SerializeToString,
            response_deserializer=primes_pb2.Prime.FromString,
        )
        request = primes_pb2.ListRequest(to=30)
        found = [prime.number for prime in primes(request, metadata=[("prefer", "respond-async")])]
        self.assertEqual(found, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29])


class Following(unittest.TestCase):
    def setUp(self):
        self.user = User(self.id())
        self.begun = self.user.begin_endless()
        self.name = self.begun.name
        self.addCleanup(self.cancel, self.name)

    def cancel(self, name):
        try:
            self.user.operations.cancel_operation(name)
        except exceptions.NotFound:
            pass  # The test has deleted it.

    def test_progress_is_told(self):
        first, second = (metadata_of(self.user.wait(self.name, 1)) for _ in range(2))
        self.assertEqual(second.state, Metadata.RUNNING)
        self.assertLess(first.progress.fraction, second.progress.fraction)
        self.assertIn("the longest is", second.progress.message)

    def test_a_wait_ends_with_the_operation(self):
        ended = []
        waiting = threading.Thread(target=lambda: ended.append(self.user.wait(self.name, 60)))
        waiting.start()
        future = self.user.future(self.begun)
        self.assertTrue(future.cancel())
        waiting.join()
        self.assertEqual(ended[0].error.code, code_pb2.CANCELLED)
        self.assertTrue(future.cancelled())
        self.assertIsInstance(future.exception(), exceptions.Cancelled)
        self.assertFalse(future.cancel(), "it has ended, and stays")

    def test_what_is_done_can_be_deleted(self):
        operations = self.user.operations
        with self.assertRaises(exceptions.FailedPrecondition):
            operations.delete_operation(self.name)
        operations.cancel_operation(self.name)
        self.assertTrue(operations.get_operation(self.name).done)
        operations.delete_operation(self.name)
        for call in (operations.get_operation, operations.delete_operation):
            with self.assertRaises(exceptions.NotFound):
                call(self.name)

    def test_each_user_has_a_list(self):
        operations = self.user.operations
        names = [self.name] + [self.user.begin_endless().name for _ in range(2)]
        for name in names[1:]:
            self.addCleanup(self.cancel, name)
        operations.cancel_operation(names[0])

        def listed(filter_):
            return {found.name for found in operations.list_operations("operations", filter_)}

        self.assertEqual(listed(""), set(names))
        self.assertEqual(listed("done=true"), set(names[:1]))
        self.assertEqual(listed("done=false"), set(names[1:]))
        with self.assertRaises(exceptions.InvalidArgument):
            listed("colour=blue")

        request = operations_pb2.ListOperationsRequest(name="operations", page_size=2)
        page = self.user.stub.ListOperations(request)
        self.assertEqual(len(page.operations), 2)
        request.page_token = page.next_page_token
        rest = self.user.stub.ListOperations(request)
        self.assertEqual({found.name for found in [*page.operations, *rest.operations]}, set(names))
        self.assertEqual(rest.next_page_token, "")

        stranger = User("a stranger").operations
        self.assertEqual(list(stranger.list_operations("operations", "")), [])
        for call in (stranger.get_operation, stranger.cancel_operation, stranger.delete_operation):
            with self.assertRaises(exceptions.NotFound):
                call(names[1])

    def test_the_monitor_shows_it(self):
        request = urllib.request.Request(f"http://{SERVER}/{self.name}/status", headers={"x-user": self.id()})
        with urllib.request.urlopen(request) as response:
            self.assertEqual(json.load(response)["status"], "running")
        request = urllib.request.Request(f"http://{SERVER}/{self.name}", headers={"x-user": self.id()}, method="DELETE")
        with urllib.request.urlopen(request) as response:
            self.assertIn(response.status, (202, 204))
        self.assertEqual(self.user.wait(self.name, 60).error.code, code_pb2.CANCELLED)


if __name__ == "__main__":
    unittest.main()
