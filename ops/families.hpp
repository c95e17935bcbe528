// The families of operators; each adds its rows to the table.
#pragma once

namespace flagos::ops {

class Table;

void add_unary(Table& table);
void add_activations(Table& table);
void add_gates(Table& table);
void add_binary(Table& table);
void add_polar(Table& table);
void add_reductions(Table& table);
void add_scans(Table& table);
void add_softmax(Table& table);
void add_losses(Table& table);
void add_norms(Table& table);
void add_products(Table& table);
void add_convolutions(Table& table);
void add_pooling(Table& table);
void add_attention(Table& table);
void add_language(Table& table);
void add_indexing(Table& table);
void add_sorting(Table& table);
void add_searches(Table& table);
void add_unique(Table& table);
void add_histograms(Table& table);
void add_shape(Table& table);
void add_random(Table& table);
void add_optimizers(Table& table);

}  // namespace flagos::ops
