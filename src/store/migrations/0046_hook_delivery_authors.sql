-- Whose doing the event of a delivery was; deliveries of before are nobody's.
ALTER TABLE hook_deliveries ADD COLUMN author TEXT NOT NULL DEFAULT 'akkeris';
