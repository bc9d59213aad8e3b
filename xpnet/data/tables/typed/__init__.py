"""Tables whose columns have types: data frames, Arrow data, Parquet files."""
