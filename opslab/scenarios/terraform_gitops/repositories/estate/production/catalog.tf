resource "aws_glue_catalog_database" "depot" {
  for_each = toset(["feeds", "listings", "orders"])
  name     = "depot_${each.key}"
}

resource "aws_glue_catalog_table" "orders_daily" {
  name          = "orders_daily"
  database_name = aws_glue_catalog_database.depot["orders"].name
  table_type    = "EXTERNAL_TABLE"

  storage_descriptor {
    location = "s3://${aws_s3_bucket.exports["orders"].id}/daily/"

    columns {
      name = "day"
      type = "date"
    }

    columns {
      name = "orders"
      type = "bigint"
    }
  }
}
