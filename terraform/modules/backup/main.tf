locals {
  _name = "rmu-${var.environment}"
}

data "aws_partition" "here" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["dlm.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "images" {
  name               = "${local._name}-images"
  description        = "Makes and forgets images of the hosts of ${local._name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

# The policy for images; the better known one is for snapshots only.
resource "aws_iam_role_policy_attachment" "images" {
  role       = aws_iam_role.images.name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/service-role/AWSDataLifecycleManagerServiceRoleForAMIManagement"
}

# Without its type and resource this would be a policy for snapshots, which boot
# nothing. Images of a host that was replaced fall out of the count and stay.
resource "aws_dlm_lifecycle_policy" "images" {
  #checkov:skip=CKV_AWS_256:a copy is encrypted by the other region's own key: on a host's disk only swapped memory could hold a secret
  description        = "Daily images of the hosts of ${local._name}"
  execution_role_arn = aws_iam_role.images.arn
  state              = "ENABLED"

  policy_details {
    policy_type    = "IMAGE_MANAGEMENT"
    resource_types = ["INSTANCE"]

    # Several tags would mean any of them; the name alone is exact.
    target_tags = { Name = "${local._name}-host" }

    # Written out: what reboots by default differs between DLM and EC2.
    parameters {
      no_reboot = true
    }

    schedule {
      name      = "daily"
      copy_tags = true

      create_rule {
        interval      = 24
        interval_unit = "HOURS"
        times         = [var.time]
      }

      retain_rule {
        count = var.keep
      }

      tags_to_add = { "rmu:image" = "daily" }

      dynamic "cross_region_copy_rule" {
        for_each = var.copy_to != "" ? [var.copy_to] : []
        content {
          target    = cross_region_copy_rule.value
          encrypted = true # by the other region's own key: keys do not travel
          copy_tags = true

          retain_rule {
            interval      = var.keep
            interval_unit = "DAYS"
          }
        }
      }
    }
  }

  depends_on = [aws_iam_role_policy_attachment.images]
}
