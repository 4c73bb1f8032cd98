"""What a trained recommender is used for: lists reranked and explained."""
