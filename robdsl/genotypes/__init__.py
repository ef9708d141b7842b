"""Other people's codes for architectures, read as nets and written back: text is parsed, never evaluated."""

from robdsl.genotypes.convert import FORMATS, read_genotypes, write_genotype
from robdsl.genotypes.errors import GenotypeError

__all__ = ["FORMATS", "GenotypeError", "read_genotypes", "write_genotype"]
