"""Tables of named columns: CSV and Parquet files, Arrow streams, data frames."""
