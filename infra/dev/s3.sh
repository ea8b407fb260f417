#!/bin/sh
# An S3 server on loopback (or S3_ADDRESS) that checks signatures and keeps its data on disk: OpenStack Swift with its S3 API, one node,
# one copy. For trials and tests, never for data that matters. Runs until it is killed.
# usage: S3_PORT=... AWS_ACCESS_KEY_ID=account:user AWS_SECRET_ACCESS_KEY=... s3.sh FOLDER
# Ports S3_PORT to S3_PORT+4 are taken. FOLDER must be on a file system with extended attributes, as ext4 or xfs.
set -eu
folder=$1
conf=$folder/conf
mkdir -p "$conf" "$folder/disk/d1" "$folder/log" "$folder/cache"

cat >"$conf/swift.conf" <<END
[swift-hash]
swift_hash_path_suffix = trial
[storage-policy:0]
name = one
default = yes
END

port=$S3_PORT
for server in account container object; do
    port=$((port + 1))
    cat >"$conf/$server.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
user = $(id -un)
swift_dir = $conf
devices = $folder/disk
mount_check = false
workers = 0
log_level = WARNING
recon_cache_path = $folder/cache
[pipeline:main]
pipeline = $server-server
[app:$server-server]
use = egg:swift#$server
END
done
# A ring says where what lies: here, everything on the one device. Debian's Python has Swift's modules.
/usr/bin/python3 - "$conf" "$S3_PORT" <<'END'
import sys
from swift.common.ring import RingBuilder

for offset, server in enumerate(("account", "container", "object"), 1):
    builder = RingBuilder(4, 1, 1)
    place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(sys.argv[2]) + offset, "device": "d1"}
    builder.add_dev({**place, "weight": 1, "replication_ip": place["ip"], "replication_port": place["port"]})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{server}.ring.gz")
END

# The credentials: account:user is the access key, as Swift's own users are called.
account=${AWS_ACCESS_KEY_ID%:*}
user=${AWS_ACCESS_KEY_ID#*:}
touch "$conf/proxy.conf"
chmod 600 "$conf/proxy.conf"
cat >"$conf/proxy.conf" <<END
[DEFAULT]
bind_ip = ${S3_ADDRESS:-127.0.0.1}
bind_port = $S3_PORT
user = $(id -un)
swift_dir = $conf
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((S3_PORT + 4))
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = ${AWS_DEFAULT_REGION:-us-east-1}
[filter:tempauth]
use = egg:swift#tempauth
user_${account}_$user = $AWS_SECRET_ACCESS_KEY .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
END

memcached -l 127.0.0.1 -p $((S3_PORT + 4)) -m 32 -u nobody >"$folder/log/memcached.log" 2>&1 &
children=$!
for server in account container object proxy; do
    "swift-$server-server" "$conf/$server.conf" verbose >"$folder/log/$server.log" 2>&1 &
    children="$children $!"
done
# Each makes a process group of its own, so they are ended one by one.
# shellcheck disable=SC2064,SC2086
trap "kill $children 2>/dev/null" INT TERM EXIT
wait
