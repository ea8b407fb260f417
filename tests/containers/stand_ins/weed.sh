#!/bin/sh
# In the place of SeaweedFS: Swift with its S3 API, on the same port, with the identity of the same file.
set -eu
for word; do
    case $word in
    -s3.config=*) identities=${word#*=} ;;
    -s3.port=*) S3_PORT=${word#*=} ;;
    -dir=*) folder=${word#*=} ;;
    esac
done
key() {
    sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$identities"
}
AWS_ACCESS_KEY_ID=$(key accessKey)
AWS_SECRET_ACCESS_KEY=$(key secretKey)
export S3_PORT AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY S3_ADDRESS=0.0.0.0
exec s3.sh "$folder"
