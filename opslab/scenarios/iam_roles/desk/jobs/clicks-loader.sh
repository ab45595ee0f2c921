#!/usr/bin/env bash
# What the clicks loader does every hour, once, as its role. Says of each step whether AWS lets it.
export AWS_PROFILE=clicks-loader
raw=targ-clicks-raw-staging clean=targ-clicks-clean-staging
queue=http://127.0.0.1/111122223333/clicks-loaded
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() {
    local name=$1
    shift
    if "$@" > "$work/out" 2> "$work/err"; then
        echo "ok       $name"
    else
        echo "STOPPED  $name"
        sed '/^$/d; s/^/         /' "$work/err"
    fi
}

step "list incoming/" aws s3 ls "s3://$raw/incoming/"
step "list a day" aws s3 ls "s3://$raw/incoming/2026-11-16/"
step "read a file" aws s3api get-object --bucket $raw --key incoming/2026-11-16/clicks-00.csv "$work/clicks.csv"
echo "page,clicks" > "$work/clean.csv"
step "write a file" aws s3api put-object --bucket $clean --key clean/2026-11-16/part-00.csv --body "$work/clean.csv"
step "get a shard iterator" aws kinesis get-shard-iterator --stream-name clicks-live \
    --shard-id shardId-000000000000 --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text
step "get records" aws kinesis get-records --shard-iterator "$(cat "$work/out")"
step "look up the queue" aws sqs get-queue-url --queue-name clicks-loaded
step "send a message" aws sqs send-message --queue-url "$queue" --message-body loaded
step "read the secret" aws secretsmanager get-secret-value --secret-id clicks/warehouse
step "open a log stream" aws logs create-log-stream --log-group-name /targ/clicks-loader --log-stream-name "run-$RANDOM"
step "write to the log" aws logs put-log-events --log-group-name /targ/clicks-loader --log-stream-name run-1 \
    --log-events timestamp=1,message=loaded
