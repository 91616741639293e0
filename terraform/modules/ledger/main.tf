# The table itself is made by live/bootstrap, before there is a stack. Here is what
# stands beside it: the bucket for plans and results too large for an item, and the
# places, which tell rmu by name where everything is.

resource "aws_s3_bucket" "ledger" {
  #checkov:skip=CKV_AWS_144:plans and results expire; a second region would keep what is meant to go
  #checkov:skip=CKV_AWS_18:who reads a plan is in CloudTrail; an access log is a second bucket to guard
  #checkov:skip=CKV_AWS_145:S3's own key encrypts it; a plan holds no secret
  #checkov:skip=CKV2_AWS_62:nothing listens for a new plan
  #checkov:skip=CKV_AWS_21:each object is written once under a name of its own; an old version could only outlive its expiry
  bucket        = var.bucket
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "ledger" {
  bucket                  = aws_s3_bucket.ledger.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "ledger" {
  bucket = aws_s3_bucket.ledger.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "ledger" {
  bucket = aws_s3_bucket.ledger.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.keep_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # Rows of the product, for as long as a backup could still hold them.
  rule {
    id     = "expire-salvage"
    status = "Enabled"

    filter {
      prefix = "salvage/"
    }

    expiration {
      days = 35
    }
  }
}

resource "aws_ssm_parameter" "place" {
  #checkov:skip=CKV2_AWS_34:a place is a name, not a secret; secrets are SecureStrings that rmu makes
  for_each = var.places

  name        = "/rmu/${var.environment}/places/${each.key}"
  description = "Place of rmu-${var.environment}, written by Terraform"
  type        = "String"
  value       = each.value
}
