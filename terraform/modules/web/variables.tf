variable "certificate_arn" {
  description = "ACM certificate of the front door; empty serves plain HTTP."
  type        = string
  default     = ""
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer."
  type        = bool
  default     = true
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "forward_by_default" {
  description = "Forward every request to the hosts; false answers 403 unless a listener rule forwards it."
  type        = bool
  default     = true
}

variable "host" {
  description = "What a host is made of: Debian 13 image, size, disk, and its user data (gzip, base64)."
  type = object({
    ami_id           = string
    disk_gb          = optional(number, 20)
    instance_type    = optional(string, "t3.small")
    root_device      = optional(string, "/dev/xvda")
    user_data_base64 = string
  })

  # EC2 counts the bytes before base64.
  validation {
    condition     = length(var.host.user_data_base64) * 3 / 4 <= 16384
    error_message = "User data is more than the 16 KB that EC2 takes."
  }
}

variable "hosts" {
  description = "How many hosts stand; the group's minimum and maximum."
  type        = number
  default     = 1

  validation {
    condition     = var.hosts >= 1 && var.hosts <= 10
    error_message = "Between 1 and 10 hosts."
  }
}

variable "instance_profile" {
  description = "Name of the hosts' instance profile; its role must be complete before a host boots."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the balancer and the hosts, in two zones, with a route out."
  type        = list(string)
}

variable "vpc_id" {
  description = "The VPC of those subnets."
  type        = string
}
