module "feed_heron" {
  source  = "../modules/feed"
  partner = "heron"
}

module "feed_otter" {
  source  = "../modules/feed"
  partner = "otter"
}

module "feed_wren" {
  source  = "../modules/feed"
  partner = "wren"
}
