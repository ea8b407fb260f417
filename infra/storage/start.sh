#!/bin/sh
# The S3 server of the team server, with one identity from the environment: written to a file in memory that only its
# user can read, since a command line is public.
set -eu
umask 077
cat >/tmp/identities.json <<END
{"identities": [{"name": "pneumo", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
END
exec weed -logtostderr=true server -dir=/data -ip=storage -ip.bind=0.0.0.0 -volume.max=0 \
    -master.volumeSizeLimitMB=1024 -s3 -s3.port=8333 -s3.config=/tmp/identities.json
