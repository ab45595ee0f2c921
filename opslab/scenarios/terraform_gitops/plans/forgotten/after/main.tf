# The search team looks after these from now on, in a repository of its own.

removed {
  from = aws_dynamodb_table.xthingx

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_s3_bucket.xthingx

  lifecycle {
    destroy = false
  }
}
