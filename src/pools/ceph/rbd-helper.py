"""Speaks RBD for the pool: one process with Ceph's own Python modules instead of a run of `rbd` for each call.

Reads requests from standard input, each a line of JSON and, where it says "bytes", as many bytes behind it; answers
each on standard output with a line of JSON that bears the request's "id", in whatever order they are done. The first
line tells that the cluster answers, or why not. Ends when standard input does, after what it has begun.
"""

import base64
import json
import os
import signal
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

ABOUT_KEY = "mesoforge.about"
IMAGES_AT_ONCE = 8
CALLS_AT_ONCE = 16
OBJECT_ORDER = 22
OBJECT_BYTES = 1 << OBJECT_ORDER
OBJECT_EXISTS = 1

output_lock = threading.Lock()


def answer(value):
    line = json.dumps(value, separators=(",", ":")) + "\n"
    with output_lock:
        sys.stdout.write(line)
        sys.stdout.flush()


try:
    import rados
    import rbd
except ImportError as error:
    answer({"missing": str(error)})
    sys.exit(0)


class Helper:
    def __init__(self, settings):
        self.cluster = rados.Rados(conffile=settings.get("configuration") or "", rados_id=settings["user"])
        chosen = {
            # Clones of format 2 need no protected snapshot, and do not pin their parent's name.
            "rbd_default_clone_format": "2",
            # What is written here is not read again: a cache would only copy it.
            "rbd_cache": "false",
            "rados_mon_op_timeout": "30",
            "rados_osd_op_timeout": "60",
            "client_mount_timeout": "10",
        }
        if settings.get("keyring"):
            chosen["keyring"] = settings["keyring"]
        for name, value in chosen.items():
            self.cluster.conf_set(name, value)
        self.cluster.connect(timeout=10)
        self.rbd = rbd.RBD()
        self.readers = ThreadPoolExecutor(IMAGES_AT_ONCE)
        self.contexts = {}
        self.writing = {}
        self.mutex = threading.Lock()

    def context(self, pool):
        with self.mutex:
            if pool not in self.contexts:
                try:
                    self.contexts[pool] = self.cluster.open_ioctx(pool)
                except rados.ObjectNotFound:
                    raise NoPool()
            return self.contexts[pool]

    def open(self, request, read_only=False, snapshot=None):
        return rbd.Image(self.context(request["pool"]), request["image"], snapshot=snapshot, read_only=read_only)

    # Each verb is a method; what it returns is the answer.

    def names(self, request):
        return self.rbd.list(self.context(request["pool"]))

    def images(self, request):
        context = self.context(request["pool"])
        found = self.readers.map(lambda name: described(context, name), request["names"])
        return [image for image in found if image is not None]

    def create(self, request):
        self.rbd.create(self.context(request["pool"]), request["image"], request["size"], old_format=False)

    def clone(self, request):
        parent = request["parent"]
        self.rbd.clone(
            self.context(parent["pool"]),
            parent["image"],
            parent["snapshot"],
            self.context(request["pool"]),
            request["image"],
        )

    def setAbout(self, request):
        with self.open(request) as image:
            image.metadata_set(ABOUT_KEY, request["about"])

    def rename(self, request):
        self.rbd.rename(self.context(request["pool"]), request["image"], request["to"])

    def remove(self, request):
        self.rbd.remove(self.context(request["pool"]), request["image"])

    def createSnapshot(self, request):
        with self.open(request) as image:
            image.create_snap(request["snapshot"])

    def removeSnapshot(self, request):
        with self.open(request) as image:
            image.remove_snap(request["snapshot"])

    def rollBack(self, request):
        with self.open(request) as image:
            image.rollback_to_snap(request["snapshot"])

    def children(self, request):
        with self.open(request, read_only=True, snapshot=request.get("snapshot")) as image:
            if request.get("snapshot") is not None:
                return [pool + "/" + name for pool, name in image.list_children()]
            found = []
            for snapshot in user_snapshots(image):
                image.set_snap(snapshot["name"])
                found += [pool + "/" + name for pool, name in image.list_children()]
            return found

    def watchers(self, request):
        with self.open(request, read_only=True) as image:
            return [[watcher["addr"], watcher["id"]] for watcher in image.watchers_list()]

    def changes(self, request):
        found = []
        with self.open(request, read_only=True) as image:
            # The object maps tell at once which objects changed; only in those is it worth to look at each block.
            stretches = []
            since = request.get("since")
            image.diff_iterate(0, image.size(), since, lambda *each: extend(stretches, *each), whole_object=True)
            for start, end in stretches:
                image.diff_iterate(start, end - start, since, lambda at, size, _: found.append([at, size]))
        return found

    def usage(self, request):
        total = [0]

        def add(_, length, exists):
            if exists:
                total[0] += length

        with self.open(request, read_only=True) as image:
            last = None
            for snapshot in [*(each["name"] for each in user_snapshots(image)), None]:
                image.set_snap(snapshot)
                image.diff_iterate(0, image.size(), last, add, include_parent=False, whole_object=True)
                last = snapshot
        return total[0]

    def flatten(self, request):
        with self.open(request) as image:
            image.flatten()

    def breakLocks(self, request):
        with self.open(request) as image:
            for owner in list(image.lock_get_owners()):
                image.lock_break(rbd.RBD_LOCK_MODE_EXCLUSIVE, owner["owner"])

    # A change of an image: begun, applied in pieces that arrive side by side, and finished by the snapshot.

    def begin(self, request):
        image = self.open(request)
        try:
            names = [snapshot["name"] for snapshot in user_snapshots(image)]
            if request.get("since") is not None and request["since"] not in names:
                raise rbd.InvalidArgument("the snapshot to begin from is not there", errno=22)
            if request.get("snapshot") in names:
                raise rbd.ImageExists("the snapshot is there already", errno=17)
            if image.size() != request["size"]:
                raise rbd.InvalidArgument("the image has another size", errno=22)
            context = self.context(request["pool"])
            prefix = fresh_prefix(context, image) if request["objects"] and not names else None
            if prefix is not None:
                note_objects(context, image, request["objects"])
        except BaseException:
            image.close()
            raise
        with self.mutex:
            self.writing[request["change"]] = (image, context, prefix)
        return prefix is not None

    def apply(self, request):
        image, _, _ = self.writing[request["change"]]
        payload = request["payload"]
        at = 0
        waiting = []
        for start, length in request["ranges"]:
            waiting.append(image.aio_write(payload[at : at + length], start, ignore))
            at += length
        wait_for(waiting)

    def applyZeros(self, request):
        image, _, _ = self.writing[request["change"]]
        wait_for([image.aio_write_zeroes(start, length, ignore) for start, length in request["ranges"]])

    def applyFresh(self, request):
        """All that goes to one object in one operation: a twentieth of those that librbd would make."""
        _, context, prefix = self.writing[request["change"]]
        payload = request["payload"]
        at = 0
        operations = {}
        for start, length in request["ranges"]:
            number = start // OBJECT_BYTES
            if number not in operations:
                operations[number] = context.create_write_op()
            operations[number].write(payload[at : at + length], start % OBJECT_BYTES)
            at += length
        perform(
            context, [(operation, "%s.%016x" % (prefix, number)) for number, operation in operations.items()]
        )

    def finish(self, request):
        with self.mutex:
            image, _, _ = self.writing.pop(request["change"])
        try:
            image.flush()
            if request.get("about") is not None:
                image.metadata_set(ABOUT_KEY, request["about"])
            if request.get("snapshot") is not None:
                image.create_snap(request["snapshot"])
        finally:
            image.close()

    def abandon(self, request):
        with self.mutex:
            change = self.writing.pop(request["change"], None)
        if change is not None:
            change[0].close()

    # Objects beside the images.

    def readObject(self, request):
        context = self.context(request["pool"])
        try:
            size, _ = context.stat(request["object"])
            bytes = context.read(request["object"], length=max(size, 1))
        except rados.ObjectNotFound:
            return None
        return base64.b64encode(bytes).decode()

    def writeObject(self, request):
        self.context(request["pool"]).write_full(request["object"], request["payload"])

    def removeObject(self, request):
        try:
            self.context(request["pool"]).remove_object(request["object"])
        except rados.ObjectNotFound:
            pass

    def entries(self, request):
        context = self.context(request["pool"])
        found = []
        after = ""
        try:
            while True:
                with rados.ReadOpCtx() as operation:
                    values, _ = context.get_omap_vals(operation, after, "", 1000)
                    context.operate_read_op(operation, request["object"])
                    some = [[key, base64.b64encode(value or b"").decode()] for key, value in values]
                found += some
                if len(some) < 1000:
                    return found
                after = some[-1][0]
        except rados.ObjectNotFound:
            return found

    def setEntry(self, request):
        with rados.WriteOpCtx() as operation:
            context = self.context(request["pool"])
            context.set_omap(operation, (request["key"],), (request["value"].encode(),))
            context.operate_write_op(operation, request["object"])

    def removeEntries(self, request):
        with rados.WriteOpCtx() as operation:
            context = self.context(request["pool"])
            context.remove_omap_keys(operation, tuple(request["keys"]))
            context.operate_write_op(operation, request["object"])

    def lock(self, request):
        context = self.context(request["pool"])
        try:
            context.lock_exclusive(request["object"], request["name"], request["cookie"], request["description"])
        except (rados.ObjectBusy, rados.ObjectExists):
            return False
        return True

    def unlock(self, request):
        try:
            self.context(request["pool"]).unlock(request["object"], request["name"], request["cookie"])
        except rados.ObjectNotFound:
            return False
        return True

    def close(self):
        for image, _, _ in list(self.writing.values()):
            image.close()


def fresh_prefix(context, image):
    """What the names of the image's objects begin with, when it is of the plain kind whose objects are known here:
    Ceph's doc/dev/rbd-layering.rst and include/rbd_types.h, as the Linux kernel reads them too."""
    known = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_OBJECT_MAP
    # "Operations" says that it is a clone of format 2.
    known |= rbd.RBD_FEATURE_FAST_DIFF | rbd.RBD_FEATURE_DEEP_FLATTEN | rbd.RBD_FEATURE_OPERATIONS
    is_plain = (
        image.stat()["order"] == OBJECT_ORDER
        and image.stripe_count() == 1
        and image.stripe_unit() == OBJECT_BYTES
        and image.features() & ~known == 0
        and image.flags() == 0
        and image.data_pool_id() == context.get_pool_id()
    )
    return image.block_name_prefix() if is_plain else None


def note_objects(context, image, numbers):
    """Marks objects as existing in the image's object map before they are, as librbd does. Nobody has the lock, and
    the map is read by who takes it (src/cls/rbd/cls_rbd.cc, object_map_update: first, last + 1, state, no condition)."""
    if not image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
        return
    name = "rbd_object_map." + image.id()
    operations = []
    for first, last in runs(sorted(numbers)):
        # One operation each: within one, a method does not see what those before it have written, and all but one of
        # them would be lost. They may be on their way together.
        operation = context.create_write_op()
        operation.execute("rbd", "object_map_update", struct.pack("<QQBB", first, last + 1, OBJECT_EXISTS, 0))
        operations.append(operation)
    perform(context, [(operation, name) for operation in operations])


def perform(context, operations):
    """Operations on objects, side by side, to their end."""
    waiting = [context.operate_aio_write_op(operation, name) for operation, name in operations]
    for one in waiting:
        one.wait_for_complete()
    for operation, _ in operations:
        context.release_write_op(operation)
    for one in waiting:
        if one.get_return_value() < 0:
            raise rados.OSError("a write failed", errno=-one.get_return_value())


def extend(stretches, start, length, _):
    """One stretch for objects that follow each other: looking at one has a price of its own."""
    if stretches and stretches[-1][1] == start:
        stretches[-1][1] = start + length
    else:
        stretches.append([start, start + length])


def runs(numbers):
    first = last = None
    for number in numbers:
        if first is not None and number == last + 1:
            last = number
            continue
        if first is not None:
            yield first, last
        first = last = number
    if first is not None:
        yield first, last


def wait_for(completions):
    for one in completions:
        one.wait_for_complete_and_cb()
    for one in completions:
        if one.get_return_value() < 0:
            raise rbd.OSError("a write failed", errno=-one.get_return_value())


class NoPool(Exception):
    pass


def ignore(_):
    pass


def user_snapshots(image):
    # Others are of groups, or kept for clones of a snapshot that was removed.
    return [each for each in image.list_snaps() if each.get("namespace", 0) == 0]


def described(context, name):
    try:
        with rbd.Image(context, name, read_only=True) as image:
            found = {"name": name, "size": image.size(), "snapshots": [each["name"] for each in user_snapshots(image)]}
            try:
                found["about"] = image.metadata_get(ABOUT_KEY)
            except KeyError:
                pass
            try:
                pool, parent, snapshot = image.parent_info()
                found["parent"] = {"pool": pool, "image": parent, "snapshot": snapshot}
            except rbd.ImageNotFound:
                pass
            return found
    except rbd.ImageNotFound:
        return None


def number_of(error):
    number = getattr(error, "errno", None)
    return abs(number) if isinstance(number, int) else 22


def serve(helper, request):
    number = request["id"]
    try:
        answer({"id": number, "value": getattr(helper, request["verb"])(request)})
    except NoPool:
        answer({"id": number, "pool": request.get("pool")})
    except Exception as error:  # Whatever it is, somebody waits for an answer.
        answer({"id": number, "errno": number_of(error), "message": type(error).__name__ + ": " + str(error)})


def main():
    # A person who interrupts the program interrupts us too; what has begun is to be finished in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = sys.stdin.buffer
    try:
        helper = Helper(json.loads(source.readline()))
    except Exception as error:
        answer({"unreachable": type(error).__name__ + ": " + str(error), "errno": number_of(error)})
        return
    answer({"ready": True})
    with ThreadPoolExecutor(CALLS_AT_ONCE) as calls:
        while True:
            line = source.readline()
            if not line.endswith(b"\n"):
                break
            request = json.loads(line)
            if "bytes" in request:
                request["payload"] = source.read(request["bytes"])
                if len(request["payload"]) < request["bytes"]:
                    break
            calls.submit(serve, helper, request)
        # Nobody is left to hear answers. A call that hangs must not keep the process.
        timer = threading.Timer(20, os._exit, [1])
        timer.daemon = True
        timer.start()
    helper.close()


try:
    main()
except BrokenPipeError:
    pass
finally:
    # Without the tear-down of Ceph's threads, which takes longer than all the rest.
    os._exit(0)
