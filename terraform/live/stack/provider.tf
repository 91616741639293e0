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

# Where copies go. Without such a region it is this one, and nothing is made by it.
provider "aws" {
  alias             = "copies"
  region            = var.copies.region != "" ? var.copies.region : var.region
  s3_use_path_style = var.s3_path_style

  default_tags {
    tags = {
      "rmu:env"        = var.environment
      "rmu:managed-by" = "terraform"
    }
  }
}
