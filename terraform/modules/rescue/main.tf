locals {
  _name = "rmu-${var.environment}"
}

# The way in when SSM is dead: an endpoint inside the network, which AWS lets only those
# reach whom IAM allows, and which reaches the hosts' sshd alone. It costs nothing.
resource "aws_security_group" "endpoint" {
  name        = "${local._name}-rescue"
  description = "Instance Connect endpoint of ${local._name}: reaches the hosts' sshd"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-rescue" }
}

resource "aws_vpc_security_group_egress_rule" "endpoint_to_hosts" {
  security_group_id            = aws_security_group.endpoint.id
  description                  = "SSH, to the hosts alone"
  referenced_security_group_id = var.host_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
}

resource "aws_vpc_security_group_ingress_rule" "hosts_from_endpoint" {
  #checkov:skip=CKV_AWS_24:it admits one group, the endpoint's, and no address at all
  security_group_id            = var.host_security_group_id
  description                  = "SSH, from the Instance Connect endpoint alone"
  referenced_security_group_id = aws_security_group.endpoint.id
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
}

# Hosts see the endpoint's address, not the client's: a rule can then name the group.
resource "aws_ec2_instance_connect_endpoint" "this" {
  subnet_id          = var.subnet_id
  security_group_ids = [aws_security_group.endpoint.id]
  preserve_client_ip = false

  tags = { Name = "${local._name}-rescue" }
}
