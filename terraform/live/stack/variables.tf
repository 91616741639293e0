variable "alarms" {
  description = "How soon alarms speak, and to whom; see module watch."
  type = object({
    connections     = optional(number)
    daily_period    = optional(number, 3600)
    emails          = optional(list(string), [])
    liveness_period = optional(number, 60)
    oldest_job_s    = optional(number, 900)
    period          = optional(number, 300)
    silence_period  = optional(number, 120)
    slack_webhook   = optional(string, "")
  })
  default = {}
}

variable "ami_id" {
  description = "Debian 13 image of the hosts, pinned: a new one is a change somebody reads."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "No image is pinned. Debian's newest, to write into env/ENVIRONMENT.tfvars as ami_id: aws ec2 describe-images --owners 136693071363 --filters 'Name=name,Values=debian-13-amd64-*' --query 'sort_by(Images,&CreationDate)[-1].ImageId' --output text --region REGION"
  }
}

variable "certificate_arn" {
  description = "ACM certificate of the front door; empty serves plain HTTP."
  type        = string
  default     = ""
}

variable "cidr" {
  description = "Address range of the VPC."
  type        = string
  default     = "10.20.0.0/16"
}

variable "copies" {
  description = "Region that gets copies of backups and images, for the day this one is lost; empty makes none. See module copies."
  type = object({
    images = optional(bool, true)
    region = optional(string, "")
  })
  default = {}

  validation {
    condition     = var.copies.region != var.region
    error_message = "Copies in the same region are lost with it."
  }
}

variable "database" {
  description = "Size, backups and password version of the database; see module database."
  type = object({
    backup = optional(object({
      maintenance_window = optional(string, "sun:18:00-sun:19:00")
      retention_days     = optional(number, 7)
      window             = optional(string, "15:00-16:00")
    }), {})
    password_version = optional(number, 1)
    size = optional(object({
      instance_class = optional(string, "db.t3.micro")
      multi_az       = optional(bool, false)
      storage_gb     = optional(number, 20)
      storage_max_gb = optional(number, 100)
    }), {})
  })
  default = {}
}

variable "database_identifier" {
  description = "The live database instance, passed by rmu; empty is rmu-ENVIRONMENT-db-1."
  type        = string
  default     = ""
}

variable "deletion_protection" {
  description = "Refuse to delete the database, the balancer, and what holds images or plans."
  type        = bool
  default     = true
}

variable "edge" {
  description = "Who may reach the front door; see module edge. Its defaults admit Cloudflare alone."
  type = object({
    allowed_ranges = optional(list(string))
    header_secrets = optional(list(string), [])
  })
  default = {}
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "front_door" {
  description = "URL people use; empty is the load balancer's own."
  type        = string
  default     = ""
}

variable "github" {
  description = "Who CI is; see module access."
  type = object({
    environment   = string
    owner         = string
    owner_id      = string
    provider_arn  = optional(string, "")
    repository    = string
    repository_id = string
  })
  default = null
}

variable "host" {
  description = "Size of a host; see module web."
  type = object({
    disk_gb       = optional(number, 20)
    instance_type = optional(string, "t3.small")
    root_device   = optional(string, "/dev/xvda")
  })
  default = {}
}

variable "hosts" {
  description = "How many hosts stand."
  type        = number
  default     = 1
}

variable "operators" {
  description = "ARNs of the people or roles who may become the operator."
  type        = list(string)
  default     = []
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "s3_path_style" {
  description = "Name buckets in the path, not the host name, for an S3 that knows no other way."
  type        = bool
  default     = false
}

variable "slo_alarms" {
  description = "What `rmu slo compile` made of the objectives; see module watch."
  type = object({
    windows = optional(map(object({
      says   = string
      period = number
      queries = list(object({
        id         = string
        expression = optional(string)
        returns    = optional(bool, false)
        namespace  = optional(string)
        metric     = optional(string)
        stat       = optional(string, "Sum")
        of         = optional(string, "environment")
      }))
    })), {})
    alarms = optional(map(object({
      says     = string
      severity = string
      runbook  = string
      topic    = string
      any_of   = list(list(string))
    })), {})
  })
  default = {}
}

variable "user_data_base64" {
  description = "What a host is born with: gzip, base64, rendered and passed by rmu."
  type        = string
}
