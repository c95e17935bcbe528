// Kernels in flagos.tile, as C++ functions: sizes and types are arguments. kernels_test.cpp runs each of them.
#pragma once

#include <flagos/tile.hpp>

namespace flagos::samples {

// z = x + y, n elements; one program for `block` of them.
void vector_add(tile::Module& module, tile::DType dtype, int block);
// Rows of [rows, columns]; one program for a row, which has at most `block` columns.
void softmax(tile::Module& module, tile::DType dtype, int block);
void layernorm(tile::Module& module, tile::DType dtype, int block);
// c = relu(a b + bias): a [m, k], b [k, n], bias [n], c [m, n]; one program for bm x bn of c.
void matmul_bias_relu(tile::Module& module, tile::DType dtype, int bm, int bn, int bk);
// o = softmax(q k^T / sqrt(d), causal) v: all [heads, n, d]; one program for a head and `bm` rows of q.
void flash_attention(tile::Module& module, tile::DType dtype, int bm, int bn, int d);
// counts[bins] += how often each value comes in x[n]; one program for `block` values.
void histogram(tile::Module& module, int block, int bins);
// y = running sum of x[rows, columns] along a row; one program for a row.
void scan(tile::Module& module, tile::DType dtype, int block);
// y[index[i]] += x[index[i]] * w[i] for n entries; one program for `block` of them.
void gather_scatter_add(tile::Module& module, int block);
// Sorts rows of keys[rows, columns], and writes where each came from; one program for a row.
void sort(tile::Module& module, tile::DType dtype, int block);
// y = x / (1 - p) with probability 1 - p, else 0; one program for `block` of n elements.
void philox_dropout(tile::Module& module, int block);

}  // namespace flagos::samples
