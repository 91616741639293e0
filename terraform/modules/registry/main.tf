resource "aws_ecr_repository" "app" {
  #checkov:skip=CKV_AWS_136:ECR's own encryption; an image holds no secret, and a key of ours could lock every host out of its image
  name                 = "rmu-${var.environment}/app"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  encryption_configuration {
    encryption_type = "AES256"
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

# ECR ages images by their push and looks at no use of them. An image that a rule
# matches is out of reach of the rules after it, so the first one shields all that
# rmu marked: its count cannot be reached, and it expires nothing itself.
resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "never: what serves, and what a rollback needs"
        selection = {
          tagStatus     = "tagged"
          tagPrefixList = ["keep-"]
          countType     = "imageCountMoreThan"
          countNumber   = 100000
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "left-overs of cut-off pushes"
        selection = {
          tagStatus   = "untagged"
          countType   = "sinceImagePushed"
          countUnit   = "days"
          countNumber = 7
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "the oldest releases that nothing marked"
        selection = {
          tagStatus      = "tagged"
          tagPatternList = ["*"]
          countType      = "imageCountMoreThan"
          countNumber    = var.releases_kept
        }
        action = { type = "expire" }
      },
    ]
  })
}
