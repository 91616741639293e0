locals {
  _name = "rmu-${var.environment}"
}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "there" {
  provider = aws.there
}

# Keys do not leave their region: copies of what is encrypted need one that lives there.
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy speaks of itself: "*" is this key
  #checkov:skip=CKV_AWS_111:a key's policy speaks of itself: "*" is this key
  #checkov:skip=CKV_AWS_356:a key's policy speaks of itself: "*" is this key
  statement {
    sid       = "AccountOwns"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.here.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "copies" {
  provider = aws.there

  description             = "Copies of the backups of ${local._name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

# Snapshots and logs follow within minutes: a restore there goes back to any second too.
resource "aws_db_instance_automated_backups_replication" "database" {
  provider = aws.there

  source_db_instance_arn = var.database.arn
  kms_key_id             = aws_kms_key.copies.arn
  retention_period       = var.database.retention_days
}

# A registry has one such configuration: a second environment in this account must not
# make another, or the two would take turns.
resource "aws_ecr_replication_configuration" "images" {
  count = var.images ? 1 : 0

  replication_configuration {
    rule {
      destination {
        region      = data.aws_region.there.name
        registry_id = data.aws_caller_identity.here.account_id
      }

      repository_filter {
        filter      = "${local._name}/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}
