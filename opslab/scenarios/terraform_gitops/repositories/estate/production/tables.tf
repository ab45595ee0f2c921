resource "aws_dynamodb_table" "orders_baskets" {
  name         = "depot-orders-baskets"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "basket"

  attribute {
    name = "basket"
    type = "S"
  }
}

resource "aws_dynamodb_table" "orders_refunds" {
  name         = "depot-orders-refunds"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "refund"

  attribute {
    name = "refund"
    type = "S"
  }
}

resource "aws_dynamodb_table" "listings_drafts" {
  name         = "depot-listings-drafts"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "listing"

  attribute {
    name = "listing"
    type = "S"
  }

  tags = {
    name  = "drafts"
    owner = "kasia"
  }
}

resource "aws_dynamodb_table" "search_synonyms" {
  name         = "depot-search-synonyms"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "word"

  attribute {
    name = "word"
    type = "S"
  }
}

resource "aws_dynamodb_table" "messages_blocked" {
  name         = "depot-messages-blocked"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "user"

  attribute {
    name = "user"
    type = "S"
  }
}

resource "aws_dynamodb_table" "payouts_accounts" {
  name         = "depot-payouts-accounts"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "account"

  attribute {
    name = "account"
    type = "S"
  }

  tags = merge({ Name = "accounts for payouts" }, local.legacy)
}
