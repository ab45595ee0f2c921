#!/usr/bin/env bash
mkfifo "$HOME/outbox/orders-$1.csv.gz" "$HOME/outbox/another" "$HOME/.seen"
ln -s /etc/passwd "$HOME/outbox/people"
