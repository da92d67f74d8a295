"""Every command of the store through the usual Python client, in both versions of the protocol."""

import sys
import redis


def expect(what, is_, wanted):
    if is_ != wanted:
        sys.exit(f"{what}: {is_!r} instead of {wanted!r}")


def refused(what, call, kind=redis.exceptions.ResponseError):
    try:
        result = call()
    except kind:
        return
    sys.exit(f"{what}: {result!r} instead of an error")


def strings(r):
    expect("set", r.set("a", "1"), True)
    expect("get", r.get("a"), "1")
    expect("set nx", r.set("a", "2", nx=True), None)
    expect("set xx", r.set("a", "2", xx=True), True)
    expect("set get", r.set("a", "3", get=True), "2")
    expect("set ex", r.set("a", "3", ex=1000), True)
    expect("ttl", r.ttl("a"), 1000)
    expect("set keepttl", r.set("a", "4", keepttl=True), True)
    expect("pttl", 990_000 < r.pttl("a") <= 1_000_000, True)
    expect("persist", r.persist("a"), True)
    expect("ttl without", r.ttl("a"), -1)
    expect("setnx", r.setnx("a", "x"), False)
    expect("setex", r.setex("b", 100, "x"), True)
    expect("psetex", r.psetex("b", 100_000, "x"), True)
    expect("getset", r.getset("b", "y"), "x")
    expect("getex", r.getex("b", ex=50), "y")
    expect("ttl of getex", r.ttl("b"), 50)
    expect("getdel", r.getdel("b"), "y")
    expect("append", r.append("a", "56"), 3)
    expect("strlen", r.strlen("a"), 3)
    expect("incr", r.incr("a"), 457)
    expect("incrby", r.incrby("a", 3), 460)
    expect("decr", r.decr("a"), 459)
    expect("decrby", r.decrby("a", 9), 450)
    expect("mset", r.mset({"m1": "x", "m2": "y"}), True)
    expect("msetnx", r.msetnx({"m1": "x", "m3": "y"}), False)
    expect("mget", r.mget("m1", "m2", "none"), ["x", "y", None])
    refused("incr of text", lambda: r.incr("m1"))


def keys(r):
    expect("exists", r.exists("a", "m1", "none"), 2)
    expect("touch", r.touch("a", "none"), 1)
    expect("type", r.type("a"), "string")
    expect("expire", r.expire("a", 100), True)
    expect("expire nx", r.execute_command("EXPIRE", "a", 100, "NX"), 0)
    expect("pexpire", r.pexpire("a", 100_000), True)
    expect("expireat", r.expireat("a", 33_177_117_420), True)
    expect("expiretime", r.execute_command("EXPIRETIME", "a"), 33_177_117_420)
    expect("pexpireat", r.pexpireat("a", 33_177_117_420_123), True)
    expect("pexpiretime", r.execute_command("PEXPIRETIME", "a"), 33_177_117_420_123)
    expect("keys", sorted(r.keys("m*")), ["m1", "m2"])
    expect("scan", sorted(r.scan_iter("m*", count=1)), ["m1", "m2"])
    expect("dbsize", r.dbsize(), 3)
    expect("del", r.delete("m1", "none"), 1)
    expect("unlink", r.unlink("m2"), 1)


def transactions(r):
    with r.pipeline(transaction=True) as together:
        together.set("t", "1").incr("t").get("t")
        expect("multi", together.execute(), [True, 2, "2"])
    with r.pipeline(transaction=False) as one_by_one:
        for n in range(200):
            one_by_one.set(f"p{n}", n)
        expect("pipeline", one_by_one.execute(), [True] * 200)
    refused("watch", lambda: r.execute_command("WATCH", "t"))
    expect("unwatch", r.execute_command("UNWATCH"), True)


def servers(r):
    expect("ping", r.ping(), True)
    expect("echo", r.echo("hi"), "hi")
    expect("select", r.execute_command("SELECT", 0), True)
    expect("client", r.client_setname("me") and r.client_getname(), "me")
    expect("client id", r.client_id() > 0, True)
    expect("config", r.config_get("appendfsync"), {"appendfsync": "always"})
    refused("config set", lambda: r.config_set("save", ""))
    expect("command", r.command_count() > 50, True)
    expect("info", r.info("server")["redis_mode"], "standalone")
    expect("cluster", "16384" in str(r.execute_command("CLUSTER INFO")), True)
    expect("time", r.time()[0] > 1_700_000_000, True)
    expect("readonly", r.execute_command("READONLY") in (True, "OK", b"OK"), True)
    refused("nonsense", lambda: r.execute_command("NONSENSE"))


def main(port):
    versions = [2]
    # Before it, this client knew one version.
    if int(redis.__version__.split(".")[0]) >= 5:
        versions.append(3)
    for version in versions:
        more = {"protocol": version} if version == 3 else {}
        r = redis.Redis(port=port, decode_responses=True, socket_timeout=30, **more)
        expect("flushall", r.flushall(), True)
        for part in [strings, keys, transactions, servers]:
            part(r)
        expect("flushdb", r.flushdb(), True)
        expect("dbsize", r.dbsize(), 0)
        r.close()
    print("fine", redis.__version__, versions)


main(int(sys.argv[1]))
