"""CEL, compiled to Python functions over plain parsed JSON: `compile_expression` is the one verb."""
