this = {
  name    = "staging"
  account = "111122223333"
}
