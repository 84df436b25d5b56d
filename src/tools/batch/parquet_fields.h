// The fields of a Parquet footer that are read or changed here, by their numbers.
//
// Source: src/main/thrift/parquet.thrift of Apache Parquet. Only the parquet_* files include it.
#pragma once

#include <cstdint>

namespace sluice::tools::parquet {

using Id = std::int16_t;

// FileMetaData
constexpr Id kFileSchema = 2;
constexpr Id kFileRows = 3;
constexpr Id kFileRowGroups = 4;
constexpr Id kFileKeyValues = 5;
constexpr Id kFileCreatedBy = 6;
constexpr Id kFileColumnOrders = 7;
constexpr Id kFileEncryption = 8;

// SchemaElement
constexpr Id kElementType = 1;
constexpr Id kElementName = 4;
constexpr Id kElementChildren = 5;

// RowGroup
constexpr Id kGroupColumns = 1;
constexpr Id kGroupBytes = 2;  // uncompressed
constexpr Id kGroupRows = 3;
constexpr Id kGroupSorting = 4;
constexpr Id kGroupOffset = 5;
constexpr Id kGroupCompressed = 6;
constexpr Id kGroupOrdinal = 7;

// SortingColumn
constexpr Id kSortingColumn = 1;

// ColumnChunk
constexpr Id kChunkPath = 1;
constexpr Id kChunkOffset = 2;
constexpr Id kChunkMeta = 3;
constexpr Id kChunkOffsetIndex = 4;
constexpr Id kChunkColumnIndexLength = 7;  // the last of the two indexes' four fields
constexpr Id kChunkCrypto = 8;
constexpr Id kChunkEncryptedMeta = 9;

// ColumnMetaData
constexpr Id kMetaValues = 5;
constexpr Id kMetaUncompressed = 6;
constexpr Id kMetaCompressed = 7;
constexpr Id kMetaDataOffset = 9;
constexpr Id kMetaIndexOffset = 10;
constexpr Id kMetaDictionaryOffset = 11;
constexpr Id kMetaStatistics = 12;
constexpr Id kMetaBloomOffset = 14;
constexpr Id kMetaBloomLength = 15;

// Statistics
constexpr Id kBoundsOld[] = {1, 2};     // by an order that never was defined well
constexpr Id kBounds[] = {5, 6, 7, 8};  // by the order of the column

// KeyValue
constexpr Id kKey = 1;
constexpr Id kValue = 2;

}  // namespace sluice::tools::parquet
