locals {
  _name  = "rmu-${var.environment}"
  _zones = slice(data.aws_availability_zones.usable.names, 0, 2)
}

data "aws_availability_zones" "usable" {
  #checkov:skip=CKV_AWS_394:the first two are taken by name, so a new zone changes nothing
  state = "available"

  # Local zones are "available" too, and carry neither RDS nor a balancer.
  filter {
    name   = "zone-type"
    values = ["availability-zone"]
  }
}

data "aws_region" "here" {}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:flow logs cost more than the hosts they watch; groups are tight and the balancer counts
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = local._name }
}

# The group every VPC is born with: taken over and emptied, so that whatever
# forgets to name its group (a restored database does) can be reached by nobody.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${local._name}-closed" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = local._name }
}

# Hosts get a public address by their launch template, never by the subnet, and
# their security group admits the balancer alone.
resource "aws_subnet" "public" {
  for_each = { for n, zone in local._zones : zone => n }

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value)
  map_public_ip_on_launch = false

  tags = { Name = "${local._name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each = { for n, zone in local._zones : zone => n }

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + each.value)

  tags = { Name = "${local._name}-private-${each.key}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }

  tags = { Name = "${local._name}-public" }
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

# The private subnets keep the VPC's main table: local routes and nothing else.

# Free of charge, unlike a NAT gateway: agents and images are fetched through it.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.here.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public.id]

  tags = { Name = "${local._name}-s3" }
}
