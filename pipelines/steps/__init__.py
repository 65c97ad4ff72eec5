"""Pure steps that pipelines are made of: one idea a file, arrays in, arrays out."""
