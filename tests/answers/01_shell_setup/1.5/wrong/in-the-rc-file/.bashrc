export WAREHOUSE_PASSWORD={{password}}
