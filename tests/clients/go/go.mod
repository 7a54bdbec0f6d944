module pirene/tests/clients

go 1.13

require github.com/apache/incubator-pegasus/go-client v0.0.0-20220526071020-be5634371701
