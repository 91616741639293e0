provider "aws" {
  region            = var.region
  s3_use_path_style = var.s3_path_style

  default_tags {
    tags = {
      "rmu:env"        = var.environment
      "rmu:managed-by" = "terraform"
    }
  }
}
