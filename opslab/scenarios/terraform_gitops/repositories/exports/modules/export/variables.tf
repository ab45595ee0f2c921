variable "name" {
  description = "What is exported: stock, prices-archive …"
  type        = string
}
