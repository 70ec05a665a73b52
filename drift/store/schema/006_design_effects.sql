-- How much a column's dependent rows inflate the variance of its shares (1 = independent): effects need it.
ALTER TABLE ${local}references ${on_cluster} ADD COLUMN IF NOT EXISTS design_effect Float64 DEFAULT 1;

-- In a cluster the table that is read is another one than that which is written.
ALTER TABLE references ${on_cluster} ADD COLUMN IF NOT EXISTS design_effect Float64 DEFAULT 1;
