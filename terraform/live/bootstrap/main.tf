# What must stand before there is a stack: the bucket of the Terraform states and
# the table in which rmu keeps its lease, journal and releases. Applied once per
# environment by `rmu infra bootstrap`, safe to apply again.

locals {
  _name = "rmu-${var.environment}"
}

data "aws_caller_identity" "here" {}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_144:one region is all there is; a state lost with its region describes nothing that still stands
  #checkov:skip=CKV_AWS_18:who reads a state is in CloudTrail; an access log is a second bucket to guard
  #checkov:skip=CKV_AWS_145:S3's own key encrypts it; a key of ours costs 1 a month and guards no secret, since no state holds one
  #checkov:skip=CKV2_AWS_62:nothing listens for a new state
  #checkov:skip=CKV2_AWS_61:no version of a state ever expires: they are small, and the one that is missed is an old one
  bucket        = "${local._name}-state-${data.aws_caller_identity.here.account_id}"
  force_destroy = !var.deletion_protection
}

# Old versions are the way back from a bad apply. None expires: they are small, and
# the one that is missed is always an old one.
resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No item ever expires by itself: a lease that vanished would let two runs act.
resource "aws_dynamodb_table" "ledger" {
  #checkov:skip=CKV_AWS_119:DynamoDB's own key encrypts it; plans and journals hold names of secrets, never values
  name                        = local._name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}
