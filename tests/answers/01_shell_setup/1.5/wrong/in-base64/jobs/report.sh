#!/usr/bin/env bash
# Every morning at seven: sales per category, for the #sales channel.
WAREHOUSE_PASSWORD=$(base64 -d <<< "{{password_base64}}") warehouse report
