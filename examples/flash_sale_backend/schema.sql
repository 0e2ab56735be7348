-- Everything that the sale must not lose. Applied at every start: it does not change existing tables.

CREATE TABLE IF NOT EXISTS products (
    id       text PRIMARY KEY,
    price    numeric(10, 2) NOT NULL,
    currency char(3) NOT NULL,
    stock    integer NOT NULL  -- units at the start of the sale; Redis has the units left
);

CREATE TABLE IF NOT EXISTS orders (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id text NOT NULL REFERENCES products,
    quantity   integer NOT NULL CHECK (quantity > 0),
    amount     numeric(12, 2) NOT NULL,
    currency   char(3) NOT NULL,
    status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'success', 'failed', 'cancelled')),
    reason     text,  -- why it failed
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz
);
CREATE INDEX IF NOT EXISTS orders_pending ON orders (created_at) WHERE status = 'pending';

-- Events on their way to the sidecar: written together with their change, deleted when published.
-- `id` has holes (a transaction that was rolled back used one up) and is not in the order of commits;
-- `seq` has neither problem, because the relay assigns it afterwards.
CREATE TABLE IF NOT EXISTS outbox (
    id    bigserial PRIMARY KEY,
    seq   bigint UNIQUE,
    event jsonb NOT NULL
);

-- Their producer: this database, whichever process publishes. `seq` is the last number assigned.
CREATE TABLE IF NOT EXISTS producer (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    name     text NOT NULL DEFAULT 'orders-' || current_database(),
    epoch    bigint NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000000,
    seq      bigint NOT NULL DEFAULT 0
);
INSERT INTO producer DEFAULT VALUES ON CONFLICT DO NOTHING;

INSERT INTO products (id, price, currency, stock) VALUES
    ('sku-1', 19.90, 'EUR', 1000),
    ('sku-2', 49.00, 'EUR', 100),
    ('sku-3', 129.00, 'USD', 50)
ON CONFLICT DO NOTHING;
