-- The language of the customer's documents; empty: not said.
ALTER TABLE customers ADD COLUMN language TEXT NOT NULL DEFAULT '';
