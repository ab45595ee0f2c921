export WAREHOUSE_PASSWORD="$(cat ~/.secrets/warehouse)"
